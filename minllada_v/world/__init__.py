"""A small world of drawn shapes with questions whose answers are known, for models that fit on a laptop."""
