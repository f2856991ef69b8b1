"""A lead and a moment in, one row of named numbers out; one definition, two computations."""
