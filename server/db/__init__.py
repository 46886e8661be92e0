"""Database access: column types, engines, the unit of work and the migrations runner. Knows no domain."""
