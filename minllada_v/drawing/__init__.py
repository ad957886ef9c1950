"""Pictures of what the model does: charts and token strips, the answer filling in, on paper and on a terminal."""
