"""The HTTP service that a CRM calls."""
