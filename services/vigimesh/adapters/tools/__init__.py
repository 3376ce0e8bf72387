"""Tools that others add, called in processes of their own."""
