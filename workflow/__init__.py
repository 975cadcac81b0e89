"""What runs the notebooks, from outside of them."""
