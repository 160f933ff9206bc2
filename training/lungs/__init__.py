"""Where the lungs are in a preprocessed radiograph, without learning."""
