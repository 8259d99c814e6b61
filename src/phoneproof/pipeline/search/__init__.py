"""The preprocessing search: which contract explains the labels, measured on the source itself."""
