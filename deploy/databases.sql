-- The second database, for the accounts; PostgreSQL's image makes the first one itself.
create database mlflow_auth;
