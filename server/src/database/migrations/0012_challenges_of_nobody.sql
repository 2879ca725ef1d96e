-- Who asks for a code for an address that nobody has gets a challenge all the same, so that nothing tells the two apart
-- later on. It can never be completed: its code and link exist nowhere.
ALTER TABLE challenges ALTER COLUMN user_id DROP NOT NULL;
CREATE INDEX challenges_of_nobody ON challenges (tenant_id, email_normalized, purpose, created_at) WHERE user_id IS NULL;
