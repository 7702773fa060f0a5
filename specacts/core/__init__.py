"""What everything else speaks of: words, episodes, files, seeds, errors, processes. Imports no other room."""
