"""Models from and for other frameworks, one file a framework; each is imported when it is first asked for."""
