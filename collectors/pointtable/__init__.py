"""A vendor's point table (点表, Excel or CSV) made into a profile: read, map columns, understand cells, write YAML."""
