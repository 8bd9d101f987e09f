module example.test/server
