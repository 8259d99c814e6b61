"""Types that every stage shares. Standard library and msgspec only."""
