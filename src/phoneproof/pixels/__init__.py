"""The contract's image part: from a picture to the input tensor, and boxes back."""
