"""Training: records to examples, what is asked of the model, one optimizer step, and checkpoints to go on from."""
