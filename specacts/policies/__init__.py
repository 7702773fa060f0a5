"""Who acts: the compared policies, the scores they go by, their thresholds, promises and costs. No model runs here."""
