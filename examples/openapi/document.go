package main

// document stands for the file that your service embeds.
const document = `openapi: 3.0.3
info: {title: Orders, version: 1.0.0}
components:
  securitySchemes:
    oauth:
      type: oauth2
      flows:
        authorizationCode:
          authorizationUrl: https://login.example.com/authorize
          tokenUrl: https://login.example.com/token
          scopes: {"orders:read": Read orders, "orders:write": Change orders}
security:
  - oauth: [] # any valid token, unless an operation says otherwise
paths:
  /version:
    get:
      operationId: version
      security: [] # public
      responses: {"200": {description: OK}}
  /me:
    get:
      operationId: me
      responses: {"200": {description: OK}}
  /orders/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: integer}}
    get:
      operationId: getOrder
      security: [{oauth: ["orders:read"]}]
      responses: {"200": {description: OK}}
    put:
      operationId: putOrder
      security: [{oauth: ["orders:read", "orders:write"]}]
      requestBody:
        required: true
        content:
          application/json:
            schema: {type: object, required: [beans], properties: {beans: {type: integer}}}
      responses: {"200": {description: OK}}
`
