"""What has to hold in a tree with Python, one file for each matter; `ground` is what they share."""
