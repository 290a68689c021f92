"""Models to and from elsewhere: one file a neighbour; what a neighbour needs is imported when it is used."""
