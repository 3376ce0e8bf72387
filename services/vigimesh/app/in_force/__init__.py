"""What is in force: cards, products and models, as shipped or as the settings name them."""
