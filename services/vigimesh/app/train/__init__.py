"""`vigimesh train`: makes the small models anew from labelled data, and says what they are worth."""
