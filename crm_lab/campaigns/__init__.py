"""Campaigns: send lists, and a loopback sending service for demonstrations and tests."""
