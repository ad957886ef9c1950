"""How good a model is: questions with known answers, what counts as right, and one resumable file of answers."""
