"""The search: rounds, selection and the job."""
