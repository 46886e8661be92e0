"""Telling people from the site itself while the centre cannot be reached."""
