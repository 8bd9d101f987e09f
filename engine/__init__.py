"""An embedded engine that speaks the Dagger API on a bare Linux machine."""
