"""What trains the model and measures the product. Nothing of the product imports it; it comes as `gcc-llm-lab`."""
