"""The one worker loop: poll → handle → gather → commit → unpause → throttle. It knows no domain."""
