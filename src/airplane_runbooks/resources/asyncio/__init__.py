"""The same resources for asyncio."""
