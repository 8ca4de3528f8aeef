package tokens

// SaysInvalidToken is how a Transport reads the challenges of an answer.
var SaysInvalidToken = saysInvalidToken
