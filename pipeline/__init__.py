"""Open Brewery DB to a bronze, silver and gold lake, without Airflow or CI."""
