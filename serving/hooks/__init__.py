"""Webhooks of CRMs and other senders: who sent them, what they say, what becomes of it."""
