"""Money: amounts, prices, windows, and the rule that reserves the worst case and settles the actual. Pure."""
