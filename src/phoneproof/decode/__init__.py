"""From output tensors to results: labels, boxes, scores."""
