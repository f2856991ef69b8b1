"""Thin clients of CRMs: one module a CRM, over one way of calling."""
