"""One module for each stage of the drawing, each with `async def run(context) -> Result`."""
