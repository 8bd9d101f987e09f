routes
