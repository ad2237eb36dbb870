"""The steps, in order. One that was released is never changed: databases have taken it."""
