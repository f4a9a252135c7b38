"""What more than one test needs: C text to modules, benches and programs; made-up memory, models and servers."""
