"""The page that marketing and sales both look at. Built on the scores table; empty until it has a funnel."""
