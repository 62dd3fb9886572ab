"""From beats and seconds to rhythm: labels in the light of the patient, and events."""
