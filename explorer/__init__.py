"""What answers the page: plain functions of the engine, over HTTP or inside the browser."""
