"""Steps from each form of the state to the next; alembic runs them when a state is opened."""
