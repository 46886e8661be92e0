"""Work done before something fails: plans, the orders made from them, their checklists and their punctuality."""
