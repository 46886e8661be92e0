"""What is out there: agents, their catalogs, devices, points and rules, and what agents report of themselves."""
