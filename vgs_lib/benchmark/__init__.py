"""The documents' systems side by side: equal conditions, budgets, records, and tables of them."""
