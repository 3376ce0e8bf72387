"""Works out the lag and orders lanes to give way while hot is late."""
