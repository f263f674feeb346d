"""Post-processing: from accumulators to values, bits, codes and scores."""
