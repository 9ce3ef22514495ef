-- One database for each server. Run once by the PostgreSQL image on an empty volume, as the user both servers log in as.
CREATE DATABASE prefect;
CREATE DATABASE mlflow;
