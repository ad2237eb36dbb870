"""A workspace as one folder that can be carried away, and a workspace made of such a folder."""
