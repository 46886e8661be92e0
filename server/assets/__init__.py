"""What stands in the rooms and who must repair it free of charge: assets, their acceptance and their warranty."""
